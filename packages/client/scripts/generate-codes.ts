/**
 * Writes src/errors/codes.generated.ts from the error table of @queen/protocol, so that the published client carries
 * the table without depending on the package that holds it. A test compares the file with what this would write.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ERRORS, ITEM_ERRORS } from '@queen/protocol'

export const GENERATED_FILE = fileURLToPath(new URL('../src/errors/codes.generated.ts', import.meta.url))

export function generateCodes(): string {
  const lines = Object.entries(ERRORS).map(([code, spec]) => `  ${code}: ${spec.retryable},`)
  for (const code of Object.keys(ITEM_ERRORS)) lines.push(`  ${code}: false,`)
  return [
    '// Written by scripts/generate-codes.ts from the error table of @queen/protocol. Do not edit.',
    '',
    '/** Whether a code of the broker is worth repeating unchanged. */',
    'export const CODE_RETRYABLE: Readonly<Record<string, boolean>> = {',
    ...lines,
    '}',
    '',
  ].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(GENERATED_FILE, generateCodes())
