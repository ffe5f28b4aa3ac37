/** System: instances, PostgreSQL and the file buffers. */
import { Server } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'System', to: '/system', icon: Server, section: 'Operations', order: 1 },
  routes: [{ path: '/system', component: () => import('./system-view.vue'), meta: { title: 'System' } }],
}
