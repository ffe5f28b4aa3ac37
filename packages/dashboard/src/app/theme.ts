/** Light or dark: the system's, until somebody chooses. public/theme.js applies the choice before the first paint. */
import { computed, ref, watchEffect } from 'vue'

export type ThemeChoice = 'system' | 'light' | 'dark'

const KEY = 'queen.theme'
const system = matchMedia('(prefers-color-scheme: dark)')
const systemDark = ref(system.matches)
system.addEventListener('change', ({ matches }) => {
  systemDark.value = matches
})

export const themeChoice = ref<ThemeChoice>(read())
export const theme = computed<'light' | 'dark'>(() =>
  themeChoice.value === 'system' ? (systemDark.value ? 'dark' : 'light') : themeChoice.value,
)

watchEffect(() => {
  document.documentElement.dataset.theme = theme.value
})

/** The other one than what is seen; chosen like the system's, it follows the system again. */
export function toggleTheme(): void {
  const next = theme.value === 'dark' ? 'light' : 'dark'
  themeChoice.value = (next === 'dark') === systemDark.value ? 'system' : next
  try {
    if (themeChoice.value === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, themeChoice.value)
  } catch {
    // Storage is shut in some private windows; the choice then lasts until the page is left.
  }
}

function read(): ThemeChoice {
  try {
    const chosen = localStorage.getItem(KEY)
    return chosen === 'light' || chosen === 'dark' ? chosen : 'system'
  } catch {
    return 'system'
  }
}
