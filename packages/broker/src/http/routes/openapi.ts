/** GET /openapi.json. */
import Type from 'typebox'
import type { HttpContext } from '../context.ts'
import { JSON_HEADERS } from '../exchange.ts'
import { openApiDocument } from '../openapi.ts'
import type { Route } from '../route.ts'

/** `routes` is asked at the first request, when the table is complete. */
export function openApiRoutes({ settings }: HttpContext, routes: () => readonly Route[]): Route[] {
  let text: Buffer | null = null
  return [
    {
      method: 'GET',
      path: '/openapi.json',
      level: 'P',
      body: 'none',
      document: {
        operationId: 'getOpenApi',
        summary: 'This document',
        tag: 'Health',
        answers: { 200: Type.Object({ openapi: Type.String(), paths: Type.Object({}) }) },
        errors: [],
      },
      handle(exchange) {
        text ??= Buffer.from(JSON.stringify(openApiDocument(routes(), settings.version)))
        exchange.answerBytes(200, JSON_HEADERS, text)
      },
    },
  ]
}
