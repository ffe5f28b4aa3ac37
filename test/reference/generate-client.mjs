/**
 * Writes the reference of the client into a folder, from the source and its comments.
 *
 * TypeDoc needs a TypeScript with the compiler's JavaScript interface; the one that checks this repository has none any
 * more. The last one that has is here for the dashboard's components, under a name of its own: TypeDoc is given that.
 */
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

registerHooks({
  resolve: (specifier, context, next) => next(specifier === 'typescript' ? 'typescript-for-vue' : specifier, context),
})
const { Application } = await import('typedoc')

const [, , out = ''] = process.argv
if (out === '') throw new Error('generate-client.mjs needs the folder to write to')

const path = (relative) => fileURLToPath(new URL(`../../${relative}`, import.meta.url))
const application = await Application.bootstrapWithPlugins({
  entryPoints: [path('packages/client/src/index.ts')],
  tsconfig: path('tsconfig.json'),
  plugin: ['typedoc-plugin-markdown'],
  name: 'Client reference',
  out,
  readme: 'none',
  logLevel: 'Warn',
  // The type check has its own test, with the compiler that decides.
  skipErrorChecking: true,
  // Line numbers would change with every edit.
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  sort: ['source-order'],
  router: 'member',
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  tableColumnSettings: { hideSources: true, hideInherited: true, hideModifiers: true },
})
const project = await application.convert()
if (project === undefined) throw new Error('TypeDoc has found nothing')
await application.generateOutputs(project)
if (application.logger.hasErrors()) process.exitCode = 1
