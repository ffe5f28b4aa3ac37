/** What a folder under views tells the rest of the page about itself. */
import type { Component } from 'vue'
import type { RouteRecordRaw } from 'vue-router'

declare module 'vue-router' {
  interface RouteMeta {
    /** Of the browser's tab. */
    title?: string
  }
}

export interface NavEntry {
  readonly label: string
  readonly to: string
  readonly icon: Component
  /** Which block of the sidebar. */
  readonly section: 'Overview' | 'Messages' | 'Operations'
  /** Within the block, ascending. */
  readonly order: number
}

export interface ViewModule {
  readonly nav: NavEntry
  readonly routes: RouteRecordRaw[]
}
