"""The style sheet of the HTML form: for paper (A4 or Letter) and for a screen, light.

Knows: CSS.  Does not know: what a report says; two texts of ours stand in it, escaped.
"""

from __future__ import annotations

from string import Template

from resolver.report.document import Document

_STYLE = Template(
    """
:root{--ink:#1a2233;--soft:#566074;--line:#d5dae3;--wash:#f4f6f9;--brand:#1f3a5f;--bar:#33587f;
--shade:#c9a45c;--good:#1d6b45;--good-wash:#e9f4ee;--warn:#7a5200;--warn-wash:#fdf4e0;
--bad:#9b2226;--bad-wash:#fbebeb;color-scheme:light}
*{box-sizing:border-box}
html{background:#e6e9ee;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1040px;padding:0;background:#fff;color:var(--ink);
font:15px/1.5 "Source Sans 3","Segoe UI","Helvetica Neue",Helvetica,Arial,"Noto Sans","Noto Sans CJK JP",
"Noto Naskh Arabic","DejaVu Sans",sans-serif;box-shadow:0 1px 24px rgba(20,30,50,.16)}
.cover,main{padding:0 56px}
.cover{padding-top:64px;padding-bottom:40px;border-bottom:1px solid var(--line)}
.rule{width:76px;height:6px;background:var(--brand);margin-bottom:26px}
h1,h2{font-family:"Source Serif 4",Charter,"Bitstream Charter","Iowan Old Style",Cambria,Georgia,
"Noto Serif","Noto Serif CJK JP","Noto Naskh Arabic","DejaVu Serif",serif;color:var(--brand);
font-weight:600;line-height:1.2;overflow-wrap:anywhere}
h1{font-size:40px;margin:0 0 10px;letter-spacing:-.01em}
.subtitle{font-size:19px;color:var(--soft);margin:0 0 34px;overflow-wrap:anywhere}
h2{font-size:26px;margin:6px 0 18px;break-after:avoid}
*+h2{margin-top:44px}
h2.long{font-size:19px}
h3{font-size:16px;margin:28px 0 10px;color:var(--brand);font-weight:650;break-after:avoid}
p{margin:0 0 10px;overflow-wrap:anywhere;orphans:3;widows:3}
small{color:var(--soft);font-size:.86em}
code{font-family:"Source Code Pro",ui-monospace,SFMono-Regular,Menlo,Consolas,"Noto Sans Mono",
"DejaVu Sans Mono",monospace;font-size:.86em;overflow-wrap:anywhere;unicode-bidi:isolate}
.url{overflow-wrap:anywhere;unicode-bidi:isolate}
a{color:var(--brand);text-decoration-thickness:1px;text-underline-offset:2px}
section{padding:34px 0 26px;border-bottom:1px solid var(--line)}
section:last-child{border-bottom:0;padding-bottom:60px}
.sheet{width:100%;border-collapse:collapse;table-layout:fixed}
.sheet>thead>tr>td,.sheet>tbody>tr>td{padding:0}
.running{display:none}
.facts{margin:0 0 18px;display:grid;grid-template-columns:repeat(2,minmax(0,1fr));column-gap:36px}
.facts>div{display:flex;gap:14px;padding:6px 0;border-bottom:1px solid var(--line);break-inside:avoid}
.facts dt{flex:0 0 38%;color:var(--soft)}
.facts dd{flex:1;margin:0;min-width:0;overflow-wrap:anywhere}
.facts.whole{grid-template-columns:minmax(0,1fr)}
.facts.whole dt{flex-basis:25%}
.cover .facts{max-width:760px;margin:0 0 26px}
.cover h3{margin-top:34px}
.cover ul{list-style:none;padding:0;columns:2;column-gap:36px}
.cover li{break-inside:avoid;margin:0 0 5px}
.jump{text-decoration:none}
.short{white-space:nowrap}
.figures{list-style:none;display:flex;flex-wrap:wrap;gap:12px;margin:0 0 18px;padding:0}
.figures li{flex:1 1 128px;padding:12px 14px 10px;background:var(--wash);border-top:3px solid var(--bar);
break-inside:avoid}
.figures .value{display:block;font-size:25px;line-height:1.2;font-weight:650;
font-variant-numeric:tabular-nums;white-space:nowrap;unicode-bidi:isolate;color:var(--brand)}
.figures .label{display:block;color:var(--soft);font-size:13px;line-height:1.3;margin-top:3px}
.figures .good{border-top-color:var(--good)}
.figures .bad{border-top-color:var(--bad)}
.figures .bad .value{color:var(--bad)}
.data{width:100%;border-collapse:collapse;margin:0 0 14px;font-size:13.5px;line-height:1.4}
.data thead{display:table-header-group}
.data tr{break-inside:avoid}
.data th{font-weight:600;color:var(--soft);text-align:start;vertical-align:bottom;font-size:12.5px;
border-bottom:2px solid var(--brand);hyphens:auto;padding:5px 0;padding-inline-end:10px;line-height:1.25}
.data td{vertical-align:top;border-bottom:1px solid var(--line);padding:6px 0;padding-inline-end:10px;
overflow-wrap:anywhere;min-width:3.4em}
.data .number{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
.data td.tight{white-space:nowrap}
.data .wide{min-width:11em}
.data td.wide small,.data td.tight small{display:block}
.data td.tight .mark{display:table;margin-top:2px}
.data th:last-child,.data td:last-child{padding-inline-end:0}
.mark{display:inline-block;font-size:12.5px;line-height:1.35;font-weight:600;padding:1px 7px;
padding-inline-start:5px;border-radius:3px;background:var(--wash);color:var(--soft)}
.data .mark{white-space:nowrap}
.sign{display:inline-block;min-width:1.1em;text-align:center;margin-inline-end:2px}
.mark.good{background:var(--good-wash);color:var(--good)}
.mark.warn{background:var(--warn-wash);color:var(--warn)}
.mark.bad{background:var(--bad-wash);color:var(--bad)}
.note{padding:9px 14px;border-inline-start:4px solid var(--line);background:var(--wash);break-inside:avoid}
.note.warn{border-inline-start-color:#d29a2b;background:var(--warn-wash)}
.note.bad{border-inline-start-color:var(--bad);background:var(--bad-wash)}
.chart{margin:6px 0 14px;break-inside:avoid}
.chart svg{display:block;width:100%;height:auto}
.bars .grid{stroke:var(--line);stroke-width:1}
.bars text{font-size:10.5px;fill:var(--soft);font-variant-numeric:tabular-nums}
.bars .scale{text-anchor:end}
.bars .date{text-anchor:middle}
.bars .blocked,.key.blocked{fill:var(--bar);background:var(--bar)}
.bars .shadow,.key.shadow{fill:var(--shade);background:var(--shade)}
.chart figcaption{font-size:13px;color:var(--soft)}
.legend{margin-inline-start:14px}
.key{display:inline-block;width:11px;height:11px;border-radius:2px;margin-inline-start:8px;
vertical-align:-1px}
.spark{display:block}
.spark rect{fill:var(--bar)}
.spark line{stroke:var(--line);stroke-width:.5}
.more{color:var(--soft);font-style:italic}
ul{padding-inline-start:22px;margin:0 0 12px}
li{margin:0 0 6px;overflow-wrap:anywhere}
pre{background:var(--wash);border:1px solid var(--line);padding:12px 14px;margin:0 0 12px;
font:12px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,"Noto Sans Mono","DejaVu Sans Mono",monospace;
white-space:pre-wrap;overflow-wrap:anywhere;text-align:left;break-inside:avoid}
@media (max-width:720px){.cover,main{padding-inline:18px}.cover{padding-top:36px}h1{font-size:29px}
.facts{grid-template-columns:minmax(0,1fr)}.cover .facts dt,.facts.whole dt{flex-basis:38%}
.data{display:block;overflow-x:auto}}
@page{size:A4;margin:19mm 16mm 18mm 16mm;
@bottom-left{content:$running;font:8.2pt sans-serif;color:#566074}
@bottom-right{content:$page" $isolate" counter(page) " / " counter(pages)"$end";
font:8.2pt sans-serif;color:#566074}}
@page :first{@bottom-left{content:none}@bottom-right{content:none}}
@media print{
html{background:#fff}
body{max-width:none;box-shadow:none;font-size:9.6pt;line-height:1.42;
-webkit-print-color-adjust:exact;print-color-adjust:exact}
.cover,main{padding:0}
.cover{border:0;break-after:page;padding-top:46mm}
h1{font-size:30pt}
.subtitle{font-size:14pt;margin-bottom:18mm}
h2{font-size:17.5pt;margin:0 0 5mm}
h2.long{font-size:12.5pt}
*+h2{margin-top:11mm}
.sheet>tbody>tr>td>:last-child{margin-bottom:0}
h3{font-size:11pt;margin:6mm 0 2.5mm}
section{break-before:page;padding:0;border:0}
section:first-of-type{break-before:auto}
section:last-child{padding:0}
.running{display:table-cell;font-size:8.2pt;color:var(--soft);padding:0 0 1.6mm!important;
border-bottom:.5pt solid var(--line);overflow-wrap:anywhere}
.sheet>tbody>tr>td{padding-top:5mm}
.data{font-size:8.4pt}
.data th{font-size:7.8pt}
.data td{padding:1.3mm 0;padding-inline-end:2.6mm}
.mark{font-size:7.8pt}
.figures{flex-wrap:nowrap;gap:3mm}
.figures li{flex:1 1 0;padding:2.5mm 3mm 2mm}
.figures .value{font-size:15pt}
.figures .label{font-size:7.8pt}
.facts>div{padding:1.2mm 0}
pre{font-size:7.8pt}
a{color:inherit;text-decoration:none}
}
"""
)


def style_of(document: Document) -> str:
    """The style sheet, with what stands at the foot of each printed page."""
    # Behind letters that run from right to left, 3 / 12 would be 12 / 3.
    isolate, end = ("\\2066 ", "\\2069 ") if document.is_right_to_left else ("", "")
    running, page = css_text(document.running), css_text(document.page)
    return _STYLE.substitute(running=running, page=page, isolate=isolate, end=end)


def css_text(text: str) -> str:
    """A text of ours as a CSS string; whatever is no letter, digit or space is written as its number."""
    signs = (sign if sign.isalnum() or sign == " " else f"\\{ord(sign):x} " for sign in text)
    return f'"{"".join(signs)}"'
