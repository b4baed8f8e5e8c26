/// How a report looks: one column, small rules, figures of equal width.
enum Stylesheet {
    static let text: Markup = """
        :root{--paper:#fff;--ink:#1b1f24;--soft:#59636e;--rule:#d8dde3;--grid:#e9ecf0;\
        --shade:#f4f6f8;--good:#1a7f37;--bad:#c5221f;--warn:#8a5a00;\
        --c0:#0b62c4;--c1:#c8500a;--c2:#0f8a5f;--c3:#a0369c;--c4:#a77b00;--c5:#2b9cc4;\
        --c6:#c2304e;--c7:#5b626b}
        @media screen and (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e4e7eb;\
        --soft:#9aa4af;--rule:#353b43;--grid:#262b32;--shade:#1b1f25;--good:#4cc368;\
        --bad:#ff7b72;--warn:#e0b04c;\
        --c0:#5aa9ff;--c1:#ff9a4d;--c2:#46cf9b;--c3:#df8bdb;--c4:#e2c14a;--c5:#74d3f5;\
        --c6:#ff8095;--c7:#a8b0ba}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);\
        font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;\
        font-variant-numeric:tabular-nums}
        main,footer{max-width:1000px;margin:0 auto;padding:0 24px}
        header{padding:36px 0 8px}
        h1{font-size:27px;font-weight:650;line-height:1.2;margin:0;overflow-wrap:anywhere}
        h2{font-size:19px;font-weight:650;margin:0 0 4px}
        h3{font-size:15px;font-weight:650;margin:18px 0 4px}
        h4{font-size:14px;font-weight:600;margin:14px 0 4px}
        header p,.explanation,footer,figure+.note,.note{color:var(--soft)}
        header p{margin:6px 0 0}
        p{margin:4px 0 10px;max-width:46em}
        p.note{font-size:13px;max-width:none;overflow-wrap:anywhere}
        p.note b{color:var(--ink)}
        section{border-top:1px solid var(--rule);padding:22px 0 20px}
        footer{font-size:13px;border-top:1px solid var(--rule);padding:12px 24px 36px}
        figure{margin:0 0 10px}
        figure>svg{display:block;width:100%;height:auto}
        .legend{display:flex;flex-wrap:wrap;gap:2px 20px;font-size:13px;margin:8px 0 4px}
        .legend span,.who{overflow-wrap:anywhere}
        .swatch{margin-right:7px;vertical-align:middle}
        svg text{font-size:12px;fill:var(--soft);unicode-bidi:isolate}
        svg .halo{paint-order:stroke;stroke:var(--shade);stroke-width:4px}
        svg .axis-title{fill:var(--ink)}
        svg .middle{text-anchor:middle}
        svg .at-end{text-anchor:end}
        .grid line{stroke:var(--grid);stroke-width:1}
        .grid .axis,.grid .short{stroke:var(--soft)}
        .warm{fill:var(--shade)}
        .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
        .thin{stroke-width:1;opacity:.85}
        .ideal{stroke-width:1;opacity:.5}
        .hollow{fill:var(--paper);stroke-width:2}
        .dot{stroke:none}
        .marker line{stroke-dasharray:3 3;stroke-width:1.5;opacity:.8}
        .marker circle{fill:var(--paper);stroke-width:1.5}
        .marker text{font-size:11px;font-weight:600;fill:var(--ink)}
        .c0,.c0 line,.c0 circle{stroke:var(--c0)}.dot.c0{fill:var(--c0)}.b0{background:var(--c0)}
        .c1,.c1 line,.c1 circle{stroke:var(--c1)}.dot.c1{fill:var(--c1)}.b1{background:var(--c1)}
        .c2,.c2 line,.c2 circle{stroke:var(--c2)}.dot.c2{fill:var(--c2)}.b2{background:var(--c2)}
        .c3,.c3 line,.c3 circle{stroke:var(--c3)}.dot.c3{fill:var(--c3)}.b3{background:var(--c3)}
        .c4,.c4 line,.c4 circle{stroke:var(--c4)}.dot.c4{fill:var(--c4)}.b4{background:var(--c4)}
        .c5,.c5 line,.c5 circle{stroke:var(--c5)}.dot.c5{fill:var(--c5)}.b5{background:var(--c5)}
        .c6,.c6 line,.c6 circle{stroke:var(--c6)}.dot.c6{fill:var(--c6)}.b6{background:var(--c6)}
        .c7,.c7 line,.c7 circle{stroke:var(--c7)}.dot.c7{fill:var(--c7)}.b7{background:var(--c7)}
        .marker text{stroke:none}
        .verdicts{list-style:none;margin:10px 0 14px;padding:0}
        .verdicts li{display:flex;flex-wrap:wrap;gap:2px 14px;padding:5px 0}
        .verdicts li+li{border-top:1px solid var(--grid)}
        .verdicts .who{font-weight:600}
        .good{color:var(--good);font-weight:700}
        .bad{color:var(--bad);font-weight:700}
        .warning{color:var(--warn);flex-basis:100%;min-width:0;padding-left:28px;\
        font-size:13px;overflow-wrap:anywhere}
        .scroll{overflow-x:auto;margin:10px 0}
        table{border-collapse:collapse;font-size:13px;min-width:100%}
        caption{text-align:left;color:var(--soft);font-size:13px;padding:2px 0 5px}
        th,td{padding:4px 9px;border-top:1px solid var(--grid);text-align:right;\
        vertical-align:top}
        td{white-space:nowrap}
        thead th{border-top:none;border-bottom:1px solid var(--rule);font-weight:600;\
        vertical-align:bottom}
        th:first-child{text-align:left;padding-left:0}
        tbody th{font-weight:500;min-width:150px;max-width:320px;overflow-wrap:anywhere}
        .owners .wide{width:40%;text-align:left}
        .bar{display:inline-block;height:10px;border-radius:2px}
        .unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
        details summary{cursor:pointer;color:var(--soft);font-size:13px;margin:8px 0}
        details caption{display:none}
        .setup dl{display:grid;grid-template-columns:fit-content(230px) 1fr;\
        gap:2px 20px;margin:6px 0;font-size:13px}
        .setup dt{color:var(--soft);min-width:130px;overflow-wrap:anywhere}
        .setup dd{margin:0;min-width:0;overflow-wrap:anywhere}
        .setup pre{margin:0;font:12px/1.45 ui-monospace,"DejaVu Sans Mono",monospace;\
        white-space:pre-wrap}
        @media (max-width:700px){main,footer{padding-left:14px;padding-right:14px}\
        figure{overflow-x:auto}figure>svg{min-width:640px}\
        .setup dl{grid-template-columns:1fr}.setup dd{margin-bottom:6px}}
        @media print{body{font-size:11px}main,footer{max-width:none;padding:0}\
        section{padding:10px 0}figure,tr,li{break-inside:avoid}\
        h2,h3,h4,.explanation{break-after:avoid}\
        caption,.legend,p.note,.warning,.setup dl{font-size:10px}\
        .scroll{overflow:visible}th,td{padding:2px 5px}table{font-size:9.5px}details{display:none}\
        .bar,.warm{print-color-adjust:exact}}
        """
}
