import Type from 'typebox'
import { ERRORS, ITEM_ERRORS } from '../errors.ts'

export const ErrorBodySchema = Type.Object({
  error: Type.String({ minLength: 1, description: 'One sentence for people' }),
  code: Type.String({ enum: Object.keys(ERRORS), description: 'Stable, for programs' }),
  details: Type.Optional(Type.Unknown()),
})

/** Codes of per-item results. */
export const ItemCodeSchema = Type.String({ enum: [...Object.keys(ERRORS), ...Object.keys(ITEM_ERRORS)] })
