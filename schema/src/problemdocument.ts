/** The body of an error answer, as a schema: RFC 9457. Its types are those of problem.ts. */
import Type from 'typebox'
import { problemType } from './problem.ts'

/** Where in the request one fault is. */
export const ProblemFault = Type.Object({
  in: Type.Enum(['body', 'query', 'path', 'header'], { description: 'Part of the request' }),
  pointer: Type.String({
    description: 'JSON Pointer (RFC 6901) in URI fragment form, as in RFC 9457',
    examples: ['#/observations/0/owner'],
  }),
  detail: Type.String(),
})
export type ProblemFault = Type.Static<typeof ProblemFault>

/** The problem document, for OpenAPI and for clients. Extension members are allowed. */
export const ProblemDocument = Type.Object(
  {
    type: Type.String({ examples: [problemType('not-found')] }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.Optional(Type.String()),
    errors: Type.Optional(Type.Array(ProblemFault)),
  },
  { $id: 'Problem', description: 'Problem details (RFC 9457)', additionalProperties: true },
)
export type ProblemDocument = Type.Static<typeof ProblemDocument>
