/** The DS records that a parent may publish for a key: `node ds-of-key.ts NAME '257 3 13 mdss…'`. */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { dsRecordsOf } from '@dslog/dnssec/ds'
import { nameFromText } from '@dslog/dnssec/name'
import { rdataFromText } from '@dslog/dnssec/rdata'
import { dsToText, parseDnskey, TYPE } from '@dslog/dnssec/records'

const [name = '', key = ''] = process.argv.slice(2)
const dnskey = parseDnskey(rdataFromText(TYPE.DNSKEY, key))
const all = await dsRecordsOf(nameFromText(name), dnskey, nodeBackend())
for (const ds of all) console.log(dsToText(ds))
