/// Where the broker's memory is, by what owns it.
enum OwnerSection {
    private static let ownersMax = 40

    /// Nothing for runs that do not say.
    static func make(_ runs: ReportRuns) -> Markup {
        let entries = runs.entries.filter { $0.record.end?.bytesByOwner?.isEmpty == false }
        guard !entries.isEmpty else { return "" }
        return """
            <section><h2>Memory by owner</h2>
            <p class="explanation">The broker's memory by what owns it, as far as that is known.</p>
            \(Markup(joining: entries.map(table)))</section>

            """
    }

    private static func table(_ entry: ReportRuns.Entry) -> Markup {
        let owners = (entry.record.end?.bytesByOwner ?? []).sorted { $0.bytes > $1.bytes }
        let largest = Double(max(owners.first?.bytes ?? 1, 1))
        var result: Markup = """
            <div class="scroll" role="region" tabindex="0" aria-label="Memory by owner: \
            \(entry.title)"><table class="owners"><caption><bdi>\(entry.title)</bdi></caption>\
            <thead><tr><th scope="col">owner</th><th scope="col">bytes</th>\
            <th scope="col">count</th><th scope="col">bytes each</th>\
            <th scope="col" class="wide"><span class="unseen">share</span></th></tr></thead><tbody>

            """
        for owner in owners.prefix(ownersMax) {
            let each = owner.count.flatMap { $0 > 0 ? Double(owner.bytes) / Double($0) : nil }
            let width = max(0, Double(owner.bytes) / largest * 100)
            result += """
                <tr><th scope="row"><bdi>\(FigureText.short(owner.owner))</bdi></th>\
                <td>\(FigureText.bytes(Double(owner.bytes)))</td>\
                <td>\(owner.count.map { FigureText.count($0) } ?? FigureText.none)</td>\
                <td>\(FigureText.number(each))</td>\
                <td class="wide"><span class="bar b\(entry.style.index % SeriesStyle.colours)" \
                style="width:\(width)%"></span></td></tr>

                """
        }
        if owners.count > ownersMax {
            let rest = owners.dropFirst(ownersMax).reduce(0.0) { $0 + Double($1.bytes) }
            result += """
                <tr><th scope="row">\(owners.count - ownersMax) others</th>\
                <td>\(FigureText.bytes(rest))</td><td></td><td></td><td class="wide"></td></tr>

                """
        }
        result += "</tbody></table></div>\n"
        return result
    }
}
