// Before the first paint: the theme that was chosen, or the system's. Its own file because the page's policy allows no
// script inside the document. src/app/theme.ts writes what is read here.
;(() => {
  let chosen = null
  try {
    chosen = localStorage.getItem('queen.theme')
  } catch {
    // Storage is shut in some private windows; the system's theme is fine.
  }
  const dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
