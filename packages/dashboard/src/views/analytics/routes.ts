/** Analytics: how it went over time, of everything, a queue, a namespace or a task. */
import { ChartLine } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Analytics', to: '/analytics', icon: ChartLine, section: 'Overview', order: 2 },
  routes: [{ path: '/analytics', component: () => import('./analytics-view.vue'), meta: { title: 'Analytics' } }],
}
