/** Messages: browse, find, inspect, retry, bury, delete. */
import { MessagesSquare } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Messages', to: '/messages', icon: MessagesSquare, section: 'Messages', order: 3 },
  routes: [
    { path: '/messages', component: () => import('./messages-view.vue'), meta: { title: 'Messages' } },
    {
      path: '/messages/:transactionId',
      component: () => import('./find-message.vue'),
      meta: { title: 'Find a message' },
    },
    {
      path: '/messages/:partitionId/:transactionId',
      component: () => import('./message-page.vue'),
      meta: { title: 'Message' },
    },
  ],
}
