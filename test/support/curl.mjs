// Stands in for curl where it is not installed: curl [-s] [-X <method>] [-d <body>] <url>
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    silent: { type: 'boolean', short: 's' },
    request: { type: 'string', short: 'X' },
    data: { type: 'string', short: 'd' },
  },
})
const method = values.request ?? (values.data === undefined ? 'GET' : 'POST')
const response = await fetch(positionals[0], { method, ...(values.data === undefined ? {} : { body: values.data }) })
process.stdout.write(await response.text())
process.exitCode = response.ok ? 0 : 22
