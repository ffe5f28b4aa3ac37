/** Traces: names, and the steps of one name on a time axis. */
import { Waypoints } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Traces', to: '/traces', icon: Waypoints, section: 'Messages', order: 5 },
  routes: [
    { path: '/traces', component: () => import('./trace-names.vue'), meta: { title: 'Traces' } },
    { path: '/traces/:name', component: () => import('./named-trace.vue'), meta: { title: 'Trace' } },
  ],
}
