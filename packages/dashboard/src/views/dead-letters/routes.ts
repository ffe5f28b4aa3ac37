/** Dead letters: inspect, redrive, purge. */
import { MailX } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Dead letters', to: '/dead-letters', icon: MailX, section: 'Messages', order: 4 },
  routes: [
    { path: '/dead-letters', component: () => import('./dead-letters-view.vue'), meta: { title: 'Dead letters' } },
  ],
}
