/** Queues: all of them, and everything about one. */
import { Layers } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Queues', to: '/queues', icon: Layers, section: 'Messages', order: 1 },
  routes: [
    { path: '/queues', name: 'queues', component: () => import('./queues-view.vue'), meta: { title: 'Queues' } },
    {
      path: '/queues/:queue',
      name: 'queue',
      component: () => import('./queue-detail.vue'),
      props: true,
      meta: { title: 'Queue' },
    },
  ],
}
