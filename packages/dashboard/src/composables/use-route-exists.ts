/** Whether an address leads to a view, for links between views that are built apart. */
import { useRouter } from 'vue-router'

export function useRouteExists(): (path: string) => boolean {
  const router = useRouter()
  return (path) => router.resolve(path).matched.some((record) => record.path !== '/:path(.*)*')
}
