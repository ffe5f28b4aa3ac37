/**
 * Addresses. Every folder under views brings its own in a routes.ts, so a new view touches no file but its own; the
 * sidebar is made of the same modules.
 */
import { createRouter, createWebHistory } from 'vue-router'
import { reloadForMissingViews } from './app/missing-view.ts'
import type { ViewModule } from './view-module.ts'

const modules = import.meta.glob<{ view: ViewModule }>('./views/*/routes.ts', { eager: true })

export const views: readonly ViewModule[] = Object.values(modules).map(({ view }) => view)

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    ...views.flatMap(({ routes }) => routes),
    { path: '/:path(.*)*', component: () => import('./app/not-found.vue'), meta: { title: 'Not found' } },
  ],
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
})

reloadForMissingViews(router)

router.afterEach((to, from) => {
  document.title = to.meta.title === undefined ? 'Queen' : `${to.meta.title} · Queen`
  // A reader of the screen hears where it is; the first page is announced by the browser itself.
  if (from.matched.length > 0 && to.path !== from.path) {
    requestAnimationFrame(() => document.getElementById('main')?.focus({ preventScroll: true }))
  }
})
