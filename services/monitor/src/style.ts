/** How the pages for owners look: the paper and ink of the explorer, from which people come, and an icon of their own. */

/** The one style sheet. */
export const STYLE = `:root {
  --paper: #faf8f3; --card: #fff; --ink: #1d1c1a; --quiet: #5f5b53; --line: #ddd8cc;
  --accent: #0d5a4c; --accent-soft: #e3efe9; --on-accent: #fff;
  --red: #a1231b; --amber: #875100; --amber-soft: #fbf1dc;
  --serif: 'Iowan Old Style', 'Palatino Linotype', Palatino, Charter, Georgia, serif;
  --mono: ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, monospace;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171a; --card: #1b1f23; --ink: #ece8df; --quiet: #a9a499; --line: #343a3f;
  --accent: #7fd6bb; --accent-soft: #17312b; --on-accent: #0c211c;
  --red: #ff9d92; --amber: #f0bd6a; --amber-soft: #35290f;
} }
* { box-sizing: border-box }
body { max-width: 46rem; margin: 0 auto; padding: 1rem 1.25rem 2.5rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, sans-serif; overflow-wrap: break-word }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: 1px }
.brand { display: inline-flex; align-items: center; gap: .6rem; color: inherit; font: 600 1.25rem/1 var(--serif); text-decoration: none }
.brand::before { width: 28px; height: 28px; background: url(/monitor.svg); content: '' }
.brand small { padding-left: .6rem; border-left: 1px solid var(--line); color: var(--quiet); font: 400 .8125rem/1.2 system-ui, sans-serif }
h1 { margin: 2.25rem 0 .75rem; font: 600 2rem/1.15 var(--serif); overflow-wrap: anywhere }
h2 { margin: 2.25rem 0 .75rem; font: 600 1.3rem/1.25 var(--serif) }
p, pre { margin: 0 0 1rem }
form { margin: 1rem 0; padding: 1.25rem; border: 1px solid var(--line); border-radius: 12px; background: var(--card) }
form > :last-child { margin-bottom: 0 }
label { display: block; margin: 0 0 1.1rem; font-size: .9375rem; font-weight: 600 }
input, select, textarea { margin-top: .35rem; padding: .65rem .8rem; border: 1px solid var(--quiet); border-radius: 8px;
  background: var(--card); color: inherit; font: 400 1.0625rem/1.4 system-ui, sans-serif }
input:not([type=checkbox]), select, textarea { display: block; width: 100%; min-width: 0 }
input[type=checkbox] { margin: 0 .35rem 0 0; accent-color: var(--accent) }
::placeholder { color: var(--quiet); opacity: 1 }
textarea, code, pre { font-family: var(--mono); font-size: .875rem }
code { overflow-wrap: anywhere }
pre { padding: .85rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); line-height: 1.5 }
button { padding: .6rem 1.05rem; border: 1px solid var(--accent); border-radius: 8px; background: var(--accent); color: var(--on-accent);
  font: 600 .9375rem/1.3 system-ui, sans-serif; cursor: pointer }
button.plain { background: var(--card); color: var(--accent) }
button.danger { border-color: var(--red); background: var(--card); color: var(--red) }
button:hover { filter: brightness(1.12) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px }
.note, .warning { padding: 1rem 1.25rem; border: 1px solid var(--accent); border-left-width: 5px; border-radius: 8px; background: var(--accent-soft) }
.warning { border-color: var(--amber); background: var(--amber-soft) }
.quiet { color: var(--quiet); font-size: .875rem }
.CRITICAL, .HIGH { color: var(--red) }
.WARNING { color: var(--amber) }
table { border-collapse: collapse }
td, th { padding: .4rem 1.25rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th { color: var(--quiet); font-size: .875rem; font-weight: 400 }
footer { margin-top: 4rem; padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--quiet); font-size: .875rem }
`

/** In the corner of the window: the bars of the explorer's, and one that should not be there. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0d5a4c"/>
<g fill="#f7f4ec"><rect x="6" y="8" width="12" height="4" rx="2"/><rect x="6" y="20" width="20" height="4" rx="2"/></g><rect x="12" y="14" width="14" height="4" rx="2" fill="#ff8a80"/></svg>
`
