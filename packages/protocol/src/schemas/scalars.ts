/** The small schemas that all others are made of. */
import Type, { type TSchema } from 'typebox'
import { LIMITS } from '../limits.ts'

/** Control characters and lone surrogates are refused as well; see isName. */
export const NameSchema = Type.String({ minLength: 1, maxLength: LIMITS.nameCodePointsMax })
export const UuidSchema = Type.String({ format: 'uuid' })
/** UTC, ISO 8601, milliseconds (createdAt of a popped message: microseconds). */
export const TimestampSchema = Type.String({ format: 'date-time' })
export const CountSchema = Type.Integer({ minimum: 0 })

export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()])

export const PhaseSchema = Type.Union([Type.Literal('normal'), Type.Literal('maintenance'), Type.Literal('draining')])

export const PaginationSchema = Type.Object({
  limit: CountSchema,
  offset: CountSchema,
  hasMore: Type.Boolean(),
  next: nullable(Type.String()),
})
