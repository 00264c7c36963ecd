/** Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2), of any published size. */
import { toBase64, toBase64Each } from '@dslog/tlog/bytes'
import { hashFromBase64 } from '@dslog/tlog/hash'
import {
  ConsistencyProof,
  ConsistencyQuery,
  InclusionProof,
  InclusionQuery,
} from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { Problem } from '@dslog/service/problem'
import { asked, type LogContext, untilNextTree, within } from './context.ts'

export function proofRoutes(app: Http, { reader }: LogContext): void {
  const tags = ['proofs']

  app.get(
    '/v1/proofs/inclusion',
    {
      schema: {
        tags,
        summary: 'Inclusion of a leaf, by index or by leaf hash',
        querystring: InclusionQuery,
        response: { 200: InclusionProof },
      },
    },
    async ({ query }, reply) => {
      reply.holds = untilNextTree(reader)
      const { reader: tree, size: published } = reader.tree
      const size = query.size ?? published
      within(published, size, 'size')
      const index = query.index ?? (await indexOf(query.leaf_hash))
      if (index >= size) {
        throw new Problem('beyond-published-tree', `index ${index} is beyond the size ${size}`)
      }
      // With the hash beside it comes that of the leaf.
      const proof = await tree.inclusionProof(index, size)
      const [leaf, root] = await Promise.all([tree.hash(0, index), tree.subtreeHash(0, size)])
      const hashes = { leaf_hash: toBase64(leaf), root: toBase64(root), proof: toBase64Each(proof) }
      return { index, size, ...hashes }
    },
  )

  app.get(
    '/v1/proofs/consistency',
    {
      schema: {
        tags,
        summary: 'Consistency of two sizes',
        querystring: ConsistencyQuery,
        response: { 200: ConsistencyProof },
      },
    },
    async ({ query: { from, to } }, reply) => {
      reply.holds = untilNextTree(reader)
      const { reader: tree, size } = reader.tree
      within(size, to, 'size')
      if (from > to) throw new Problem('validation', '`from` is larger than `to`')
      const [fromRoot, toRoot, proof] = await Promise.all([
        tree.subtreeHash(0, from),
        tree.subtreeHash(0, to),
        tree.consistencyProof(from, to),
      ])
      const roots = { from_root: toBase64(fromRoot), to_root: toBase64(toRoot) }
      return { from, to, ...roots, proof: toBase64Each(proof) }
    },
  )

  async function indexOf(leafHash: string | undefined): Promise<number> {
    if (leafHash === undefined) throw new Problem('validation', 'Give `index` or `leaf_hash`')
    const index = await reader.indexOf(asked(() => hashFromBase64(leafHash)))
    if (index === undefined) throw new Problem('not-found', 'No leaf has this hash')
    return index
  }
}
