/// A table of figures: the first column names the row, the others are set right.
struct HTMLTable {
    var caption: String
    var columns: [String]
    /// Cells of the columns after the first.
    var rows: [(title: Markup, cells: [String])] = []

    /// A column in which nothing is known is left out.
    func markup() -> Markup {
        let shown = columns.indices.filter { column in
            column == 0 || rows.contains { $0.cells[column - 1] != FigureText.none }
        }
        var result: Markup = """
            <div class="scroll" role="region" tabindex="0" aria-label="\(caption)">\
            <table><caption>\(caption)</caption><thead><tr>
            """
        for column in shown { result += "<th scope=\"col\">\(columns[column])</th>" }
        result += "</tr></thead><tbody>\n"
        for row in rows {
            result += "<tr><th scope=\"row\">\(row.title)</th>"
            for column in shown.dropFirst() { result += "<td>\(row.cells[column - 1])</td>" }
            result += "</tr>\n"
        }
        result += "</tbody></table></div>\n"
        return result
    }

    /// The name of a run with the sample of its line.
    static func name(_ title: String, _ style: SeriesStyle) -> Markup {
        "\(PlotDrawing.swatch(style))<bdi>\(title)</bdi>"
    }
}

/// A plot with its heading, its legend, a few words and the table of its figures.
struct PlotSection {
    struct LegendEntry {
        var label: String
        var style: SeriesStyle
        var shape = PlotSeries.Shape.line
    }

    var plot: Plot
    var explanation: Markup
    var legend: [LegendEntry] = []
    var notes: [Markup] = []
    var tables: [HTMLTable] = []
    /// A long table is folded away.
    var foldedTable: HTMLTable?

    func markup() -> Markup {
        var result: Markup = """
            <section><h2>\(plot.title)</h2>
            <p class="explanation">\(explanation)</p>
            <figure><figcaption class="legend">
            """
        for entry in legend {
            result += """
                <span>\(PlotDrawing.swatch(entry.style, entry.shape))\
                <bdi>\(entry.label)</bdi></span>
                """
        }
        result += "</figcaption>\n\(PlotDrawing(plot).svg())</figure>\n"
        for note in notes { result += "<p class=\"note\">\(note)</p>\n" }
        for table in tables { result += table.markup() }
        if let foldedTable {
            result += """
                <details><summary>\(foldedTable.caption)</summary>\(foldedTable.markup())\
                </details>
                """
        }
        result += "</section>\n"
        return result
    }
}
