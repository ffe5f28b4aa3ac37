/** Lines for a shell that do what the page can do, against the broker the page came from. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

export function pushCommand(queue: string, payload: unknown): string {
  const body = JSON.stringify({ items: [{ queue, payload }] })
  return `curl -X POST ${window.location.origin}/api/v1/push -d ${quoted(body)}`
}

export function popCommand(queue: string, group?: string): string {
  const query = group === undefined ? '' : `&consumerGroup=${encodeURIComponent(group)}`
  return `curl ${quoted(`${window.location.origin}/api/v1/pop/queue/${encodeURIComponent(queue)}?batch=10${query}`)}`
}
