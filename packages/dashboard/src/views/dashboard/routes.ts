/** Dashboard: the state of everything at a glance. */
import { LayoutDashboard } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Dashboard', to: '/', icon: LayoutDashboard, section: 'Overview', order: 1 },
  routes: [{ path: '/', component: () => import('./dashboard-view.vue'), meta: { title: 'Dashboard' } }],
}
