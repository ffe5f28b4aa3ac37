/**
 * Imports each icon from its own file. The package's entry names 1,700 files, and reading them all to use fifty is more
 * than half of the time a build takes; the first `npm start` waits for it.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Plugin } from 'vite'

const PACKAGE = '@lucide/vue'
const IMPORT = new RegExp(`import\\s*\\{([^}]*)\\}\\s*from\\s*["']${PACKAGE}["'];?`, 'g')
const ENTRY = 'dist/esm/lucide-vue.mjs'

export function iconsOneByOne(): Plugin {
  const root = join(dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)), dirname(ENTRY))
  const files = new Map<string, string>()
  return {
    name: 'icons-one-by-one',
    enforce: 'post',
    buildStart() {
      const entry = readFileSync(join(root, 'lucide-vue.mjs'), 'utf8')
      for (const [, names, file] of entry.matchAll(/export \{([^}]*)\} from '(\.\/icons\/[^']+)'/g)) {
        for (const [, name] of names!.matchAll(/default as (\w+)/g)) files.set(name!, file!)
      }
    },
    transform: {
      filter: { code: PACKAGE },
      handler(code) {
        return code.replaceAll(IMPORT, (statement, names: string) => {
          const imports = names.split(',').flatMap((part) => {
            const [name, as = name] = part.trim().split(/\s+as\s+/)
            if (name === undefined || name === '') return []
            const file = files.get(name)
            return file === undefined ? [null] : [`import ${as} from ${JSON.stringify(join(root, file))}`]
          })
          // A name that is no icon: the package's own entry knows what to say.
          return imports.includes(null) ? statement : `${imports.join(';')};`
        })
      },
    },
  }
}
