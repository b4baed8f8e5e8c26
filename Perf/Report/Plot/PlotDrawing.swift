/// Draws a plot as SVG, once, when the page is written: a reader needs no script.
struct PlotDrawing {
    private let plot: Plot
    private let width = 880.0
    private let height = 360.0
    private let left = 84.0
    private let right = 36.0
    private let top = 40.0
    private let bottom = 50.0

    init(_ plot: Plot) { self.plot = plot }

    func svg() -> Markup {
        """
        <svg viewBox="0 0 \(width) \(height)" role="img" aria-label="\(plot.title). \
        \(plot.summary)"><title>\(plot.title)</title>
        \(warmUp)\(grid)\(titles)\(markers)\(Markup(joining: plot.series.map(curve)))
        </svg>
        """
    }

    private func x(_ value: Double) -> Double {
        left + plot.x.place(value) * (width - left - right)
    }

    private func y(_ value: Double) -> Double {
        height - bottom - plot.y.place(value) * (height - top - bottom)
    }

    private var warmUp: Markup {
        guard plot.showsWarmUp, plot.x.low < 0 else { return "" }
        let end = x(min(0, plot.x.high))
        let word: Markup =
            end - left > 64
            ? "<text class=\"halo\" x=\"\(left + 6)\" y=\"\(top + 16)\">warm-up</text>"
            : ""
        return """
            <rect class="warm" x="\(left)" y="\(top)" width="\(end - left)" \
            height="\(height - top - bottom)"/>\(word)
            """
    }

    private var grid: Markup {
        var result: Markup = "<g class=\"grid\">"
        for tick in plot.y.ticks {
            let place = y(tick.value)
            result += """
                <line x1="\(left)" y1="\(place)" x2="\(width - right)" y2="\(place)"/>\
                <text class="at-end" x="\(left - 8)" y="\(place + 4)">\(tick.label)</text>
                """
        }
        for tick in plot.x.ticks {
            let place = x(tick.value)
            result += """
                <line class="short" x1="\(place)" y1="\(height - bottom)" x2="\(place)" \
                y2="\(height - bottom + 5)"/>\
                <text class="middle" x="\(place)" y="\(height - bottom + 20)">\(tick.label)</text>
                """
        }
        result += """
            <line class="axis" x1="\(left)" y1="\(height - bottom)" x2="\(width - right)" \
            y2="\(height - bottom)"/></g>
            """
        return result
    }

    private var titles: Markup {
        """
        <text class="axis-title" x="4" y="16">\(plot.y.title)</text>\
        <text class="axis-title middle" x="\(left + (width - left - right) / 2)" \
        y="\(height - 8)">\(plot.x.title)</text>
        """
    }

    /// Numbers that would lie on each other are set in two rows.
    private var markers: Markup {
        var result: Markup = ""
        var ends = [-1e9, -1e9]
        for marker in plot.markers.sorted(by: { $0.x < $1.x }) {
            let place = x(marker.x)
            let row = ends[0] + 20 <= place || ends[0] < ends[1] ? 0 : 1
            ends[row] = place
            let flag = top - 8 - Double(row) * 17
            result += """
                <g class="marker \(marker.style.colourClass)">\
                <line x1="\(place)" y1="\(flag + 4)" x2="\(place)" y2="\(height - bottom)"/>\
                <circle cx="\(place)" cy="\(flag - 3)" r="8"/>\
                <text class="middle" x="\(place)" y="\(flag + 1)">\(marker.number)</text></g>
                """
        }
        return result
    }

    private func curve(_ series: PlotSeries) -> Markup {
        switch series.shape {
        case .line: path(series, "line")
        case .thinLine: path(series, "line thin")
        case .lineWithDots: "\(path(series, "line"))\(dots(series))"
        case .thinLineWithDots: "\(path(series, "line thin"))\(dots(series))"
        case .dots: dots(series)
        case .ideal: path(series, "line ideal")
        }
    }

    private func path(_ series: PlotSeries, _ classes: String) -> Markup {
        var commands: Markup = ""
        var isAfterGap = true
        for point in series.points {
            guard point.x.isFinite, point.y.isFinite else {
                isAfterGap = true
                continue
            }
            let (h, v) = (x(point.x), y(point.y))
            // A stroke to where it stands shows a point between two gaps.
            commands += isAfterGap ? "M\(h) \(v)L\(h) \(v)" : "L\(h) \(v)"
            isAfterGap = false
        }
        let dash: Markup =
            series.style.dash.isEmpty ? "" : " stroke-dasharray=\"\(series.style.dash)\""
        return """
            <path class="\(classes) \(series.style.colourClass)" d="\(commands)"\(dash)/>
            """
    }

    private func dots(_ series: PlotSeries) -> Markup {
        Markup(
            joining: series.points.filter { $0.x.isFinite && $0.y.isFinite }.map { point in
                """
                <circle class="\(point.isHollow ? "hollow" : "dot") \
                \(series.style.colourClass)" cx="\(x(point.x))" cy="\(y(point.y))" r="3.5"/>
                """
            })
    }

    /// The sample of a line that stands in a legend.
    static func swatch(_ style: SeriesStyle, _ shape: PlotSeries.Shape = .line) -> Markup {
        let classes =
            switch shape {
            case .line, .lineWithDots, .dots: "line"
            case .thinLine, .thinLineWithDots: "line thin"
            case .ideal: "line ideal"
            }
        let dash: Markup = style.dash.isEmpty ? "" : " stroke-dasharray=\"\(style.dash)\""
        return """
            <svg class="swatch" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">\
            <path class="\(classes) \(style.colourClass)" d="M2 5L28 5"\(dash)/></svg>
            """
    }
}
