/** What a key does to the view. Pure; Ctrl-C is not asked here: it ends every command alike. */
import { SORTS, type View } from './frame.ts'

export type KeyEffect = { readonly view: View; readonly quit: boolean }

const PAGE_ROWS = 10

export function pressKey(view: View, key: string): KeyEffect {
  const to = (change: Partial<View>): KeyEffect => ({ view: { ...view, ...change }, quit: false })
  if (view.typing) {
    if (key === '\r' || key === '\n') return to({ typing: false })
    if (key === '\u001b') return to({ typing: false, filter: '' })
    if (key === '\u007f' || key === '\b') return to({ filter: view.filter.slice(0, -1) })
    return /^[^\p{C}]+$/u.test(key) ? to({ filter: view.filter + key, scroll: 0 }) : to({})
  }
  switch (key) {
    case 'q':
      return { view, quit: true }
    case 's':
      return to({ sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length]! })
    case '/':
      return to({ typing: true, filter: '' })
    case 'p':
      return to({ paused: !view.paused })
    case 'm':
      return to({ panel: !view.panel })
    case '\u001b[A':
      return to({ scroll: Math.max(0, view.scroll - 1) })
    case '\u001b[B':
      return to({ scroll: view.scroll + 1 })
    case '\u001b[5~':
      return to({ scroll: Math.max(0, view.scroll - PAGE_ROWS) })
    case '\u001b[6~':
      return to({ scroll: view.scroll + PAGE_ROWS })
    default:
      return to({})
  }
}
