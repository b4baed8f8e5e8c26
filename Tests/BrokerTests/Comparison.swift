import Testing

/// As `#expect(got == wanted)`, for values of types that cannot be copied: the macro would have to
/// take them apart.
func same<Value: Equatable>(
    _ got: Value, _ wanted: Value, at location: SourceLocation = #_sourceLocation
) {
    #expect(got == wanted, sourceLocation: location)
}
