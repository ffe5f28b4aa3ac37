/** The page's entry: the application, its addresses, and nothing else. */
import { createApp } from 'vue'
import App from './app/app.vue'
import { router } from './router.ts'
import './styles.css'

createApp(App).use(router).mount('#app')
