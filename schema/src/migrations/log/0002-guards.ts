/**
 * More of what not even the service's own role may do: look-up rows of logged entries stay as they are,
 * and the record of what was signed never goes back. Whoever owns the tables can take these guards
 * away; that is why the service should not (deploy/postgres/roles.sql).
 */
import { type Kysely, type Migration, sql } from 'kysely'

export const logGuards: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create function never_changes() returns trigger language plpgsql as $$
      begin
        raise exception 'append-only: % of % refused', tg_op, tg_table_name;
      end $$`.execute(db)
    await sql`create trigger leaf_never_changes before update or delete on leaf
      for each row execute function never_changes()`.execute(db)
    await sql`
      create function only_moves_on() returns trigger language plpgsql as $$
      begin
        if new.origin = old.origin and new.size >= old.size then
          return new;
        end if;
        raise exception 'what was signed is not taken back: % to % refused', old.size, new.size;
      end $$`.execute(db)
    await sql`create trigger signer_only_moves_on before update on signer
      for each row execute function only_moves_on()`.execute(db)
  },
}
