"""How a report's page looks."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #777; --warn: #b45309; --best: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --quiet: #999; --warn: #f59e0b; --best: #60a5fa; } }
body { font: 14px/1.45 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h1 small { font-weight: normal; color: var(--quiet); }
h2 { font-size: 1.15rem; margin-top: 2rem; }
small { color: var(--quiet); font-weight: normal; } small.warn { color: var(--warn); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; }
.wide { overflow-x: auto; margin-bottom: 1.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: middle; }
thead th { color: var(--quiet); font-weight: 600; max-width: 6rem; vertical-align: bottom; }
th:first-child { text-align: left; min-width: 16rem; font-weight: 500; }
.examples td, .examples th { text-align: left; vertical-align: top; max-width: 22rem; overflow-wrap: anywhere; }
.examples th:first-child { min-width: 4rem; }
.examples p { margin: 0; white-space: pre-line; } .examples img { max-width: 200px; max-height: 200px; display: block; }
td.best { color: var(--best); font-weight: 600; } td.peer { color: var(--quiet); }
tr.group th { color: var(--quiet); padding-top: 1rem; }
tr.partial td, tr.partial th { color: var(--warn); }
summary { cursor: pointer; padding: .3rem 0; }
svg .zero { stroke: #8888; } svg .range { stroke-width: 2; stroke: #888; } svg .mark { fill: #888; }
svg .up { stroke: #059669; } svg .mark.up { fill: #059669; }
svg .down { stroke: #dc2626; } svg .mark.down { fill: #dc2626; }
@media print { details { break-inside: avoid; } body { max-width: none; } }
"""
