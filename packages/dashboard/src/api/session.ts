/**
 * The token of the person at the page, when the broker asks for one. It lives as long as the browser's tab and goes
 * nowhere but into the Authorization header.
 */
import { ref } from 'vue'

const KEY = 'queen.token'

export const token = ref<string | null>(read())
/** True once the broker has refused us for the lack of a good token. */
export const signInNeeded = ref(false)

export function signIn(value: string): void {
  token.value = value.trim().replace(/^bearer\s+/i, '')
  signInNeeded.value = false
  write(token.value)
}

export function signOut(): void {
  token.value = null
  write(null)
}

function read(): string | null {
  try {
    return sessionStorage.getItem(KEY)
  } catch {
    return null
  }
}

function write(value: string | null): void {
  try {
    if (value === null) sessionStorage.removeItem(KEY)
    else sessionStorage.setItem(KEY, value)
  } catch {
    // Storage is shut in some private windows; the token then lasts until the page is left.
  }
}
