/// A drawing: curves over two axes.
struct Plot: Sendable {
    var title: String
    /// Said by a screen reader in place of the drawing.
    var summary: String
    var x: PlotAxis
    var y: PlotAxis
    var series: [PlotSeries] = []
    var markers: [PlotMarker] = []
    /// The part of the horizontal axis below zero is the warm-up.
    var showsWarmUp = false
}

/// One curve.
struct PlotSeries: Sendable {
    enum Shape: Sendable {
        case line
        /// A second curve of the same run, such as its median beside its 99th percentile.
        case thinLine
        case lineWithDots
        case thinLineWithDots
        case dots
        /// What would be if…
        case ideal
    }

    struct Point: Sendable {
        var x: Double
        /// Not a number: the line is interrupted here.
        var y: Double
        /// Drawn hollow: the figure is not one of a healthy run.
        var isHollow = false
    }

    var style: SeriesStyle
    var shape = Shape.line
    var points: [Point] = []
}

/// Colour and dashes of a curve: 24 that can be told apart.
struct SeriesStyle: Sendable, Equatable {
    static let colours = 8
    static let dashes = ["", "7 4", "2 4"]
    static let count = colours * dashes.count

    var index: Int

    var colourClass: String { "c\(index % Self.colours)" }
    var dash: String { Self.dashes[index / Self.colours % Self.dashes.count] }
}

/// A line across a plot, with a number that a list beneath explains.
struct PlotMarker: Sendable {
    var x: Double
    var number: Int
    var style: SeriesStyle
}
