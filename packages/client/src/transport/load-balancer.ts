/** Which URL a request goes to first, and which ones after it. */
import type { LoadBalancingStrategy } from '../options.ts'
import type { BackendHealth } from './backend-health.ts'
import { createHashRing } from './hash-ring.ts'

export interface LoadBalancer {
  /** The URLs on offer for this key, best first; never empty. */
  candidates(key: string, nowMillis: number): string[]
}

/** Keys that `session` remembers. Beyond it the longest unused key is given out anew: it costs a cache hit, no more. */
const SESSIONS_MAX = 10_000

export interface BalancerSettings {
  readonly urls: readonly string[]
  readonly loadBalancingStrategy: LoadBalancingStrategy
  readonly affinityHashRing: number
}

export function createLoadBalancer(settings: BalancerSettings, health: BackendHealth): LoadBalancer {
  const { urls } = settings
  if (urls.length === 1) return { candidates: () => [...urls] }
  switch (settings.loadBalancingStrategy) {
    case 'affinity': {
      const ring = createHashRing(urls, settings.affinityHashRing)
      return { candidates: (key, now) => health.onOffer(ring.order(key), now) }
    }
    case 'round-robin':
      return roundRobin(urls, health)
    case 'session':
      return session(urls, health)
  }
}

function roundRobin(urls: readonly string[], health: BackendHealth): LoadBalancer {
  let turn = 0
  return {
    candidates(_key, now) {
      const offered = health.onOffer(startingAt(urls, turn), now)
      turn = (urls.indexOf(offered[0]!) + 1) % urls.length
      return offered
    },
  }
}

function session(urls: readonly string[], health: BackendHealth): LoadBalancer {
  const given = new Map<string, number>()
  let turn = 0
  return {
    candidates(key, now) {
      const index = given.get(key) ?? turn++ % urls.length
      const offered = health.onOffer(startingAt(urls, index), now)
      // A key whose URL is not on offer moves for good: moving back would break the session a second time.
      given.delete(key)
      given.set(key, urls.indexOf(offered[0]!))
      if (given.size > SESSIONS_MAX) given.delete(given.keys().next().value!)
      return offered
    },
  }
}

function startingAt(urls: readonly string[], index: number): string[] {
  return [...urls.slice(index), ...urls.slice(0, index)]
}
