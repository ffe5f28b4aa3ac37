/** Consumer groups: how far each is on every queue, and moving them. */
import { UsersRound } from '@lucide/vue'
import type { ViewModule } from '../../view-module.ts'

export const view: ViewModule = {
  nav: { label: 'Consumer groups', to: '/consumer-groups', icon: UsersRound, section: 'Messages', order: 2 },
  routes: [
    {
      path: '/consumer-groups',
      name: 'consumer-groups',
      component: () => import('./groups-view.vue'),
      meta: { title: 'Consumer groups' },
    },
    {
      path: '/consumer-groups/:group',
      name: 'consumer-group',
      component: () => import('./group-detail.vue'),
      props: true,
      meta: { title: 'Consumer group' },
    },
  ],
}
