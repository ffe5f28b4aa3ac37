/** How the dashboard is built; `node ../../node_modules/vite/bin/vite.js` in this folder serves it while you write. */
import tailwindcss from '@tailwindcss/vite'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'
import { iconsOneByOne } from './scripts/icons-one-by-one.ts'

/** A running broker for the development server. */
const BROKER = process.env.QUEEN_URL ?? 'http://127.0.0.1:6632'

export default defineConfig({
  plugins: [vue(), tailwindcss(), iconsOneByOne()],
  resolve: { alias: { '@': new URL('src', import.meta.url).pathname } },
  build: {
    target: 'es2022',
    // The page's policy allows no inline data but images, and a small file is as quick.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { '^/(api|health|metrics|openapi)': BROKER } },
})
