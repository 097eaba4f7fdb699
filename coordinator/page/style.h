// The style sheet of a report: light and dark by the reader's setting, light and unfolded on paper. The series' colours
// are those of Okabe and Ito (Color Universal Design, 2008), which people who see few colours can tell apart.
#pragma once

namespace hullft::page {

inline constexpr char kStyle[] = R"css(
:root { color-scheme: light dark; --back: #fff; --text: #222; --soft: #666; --line: #d8d8d8; --panel: #f6f6f4; --warn: #fff3d6;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b4679a; --c4: #8a7a00; --c5: #3f8fc4; --c6: #a06a00; --c7: #555; }
@media (prefers-color-scheme: dark) { :root { --back: #17181b; --text: #e6e6e6; --soft: #a5a5a5; --line: #3a3c42;
  --panel: #202226; --warn: #3a3012; --c0: #56b4e9; --c1: #ff8c42; --c2: #2fd0a0; --c3: #e39fc8; --c4: #f0e442;
  --c5: #9ad0f5; --c6: #e69f00; --c7: #bbb; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 16px; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5em; margin: 0.3em 0; } h2 { font-size: 1.2em; margin: 1.6em 0 0.3em; }
nav { display: flex; flex-wrap: wrap; gap: 2px 1em; } a { color: var(--c0); }
p, figcaption { max-width: 75ch; } figure { margin: 0; } figcaption, .soft { color: var(--soft); }
.panels { display: flex; flex-wrap: wrap; gap: 10px; overflow-x: auto; }
.panels svg { background: var(--panel); border-radius: 6px; flex: none; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 6px 0; padding: 0; }
.legend svg { vertical-align: -2px; margin-right: 5px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 8px 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 4px; }
caption span { display: block; max-width: min(75ch, calc(100vw - 32px)); }
th, td { padding: 3px 10px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.best { font-weight: 700; } td small { color: var(--soft); font-weight: 400; }
.warnings { background: var(--warn); border-radius: 6px; padding: 8px 12px 8px 30px; }
.provenance td { white-space: normal; overflow-wrap: anywhere; text-align: left; }
pre { margin: 0; font: 13px/1.4 ui-monospace, monospace; } progress { width: min(420px, 60vw); }
summary { cursor: pointer; color: var(--soft); }
svg text { fill: var(--text); font: 11px system-ui, sans-serif; } svg text.title { font-size: 13px; font-weight: 600; }
svg text.small { font-size: 10px; fill: var(--soft); }
.grid { stroke: var(--line); stroke-width: 1; fill: none; } .axis { stroke: var(--soft); fill: none; }
.line { fill: none; stroke: var(--c); stroke-width: 2; } .error { stroke: var(--c); stroke-width: 1.5; opacity: 0.6; fill: none; }
.mark, .bar { fill: var(--c); } .bar { stroke: var(--panel); stroke-width: 0.5; }
.dots { stroke: var(--c); stroke-width: 3.2; stroke-linecap: round; opacity: 0.45; fill: none; }
.front { stroke-dasharray: 2 4; } .diagonal { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 4; }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); }
.s4 { --c: var(--c4); } .s5 { --c: var(--c5); } .s6 { --c: var(--c6); } .s7 { --c: var(--c7); }
.line.s1 { stroke-dasharray: 7 3; } .line.s2 { stroke-dasharray: 2 3; } .line.s3 { stroke-dasharray: 9 3 2 3; }
.line.s4 { stroke-dasharray: 5 5; } .line.s5 { stroke-dasharray: 1 4; } .line.s6 { stroke-dasharray: 12 4; }
@media print { :root { color-scheme: light; --back: #fff; --text: #000; --soft: #444; --line: #bbb; --panel: #fff; --warn: #fff;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b4679a; --c4: #8a7a00; --c5: #3f8fc4; --c6: #a06a00; --c7: #555; }
  body { max-width: none; font-size: 11px; } .panels, .scroll { overflow: visible; } .panels svg { max-width: 100%; height: auto; } nav { display: none; } figure, table { break-inside: avoid; }
  .warnings { border: 1px solid #888; } details::details-content { content-visibility: visible; height: auto; } }
)css";

}  // namespace hullft::page
