/** Maintenance: the window, its instances, what was set aside, and the history. */
import { Wrench } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Maintenance', to: '/maintenance', icon: Wrench, section: 'Operations', order: 2 },
  routes: [{ path: '/maintenance', component: () => import('./maintenance-view.vue'), meta: { title: 'Maintenance' } }],
}
