/**
 * What not even the service's own role may do: evidence stays as it is, and what was cosigned is not taken
 * back. A witness that forgot what it has cosigned would cosign a fork.
 */
import { type Kysely, type Migration, sql } from 'kysely'

export const monitorGuards: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create function never_changes() returns trigger language plpgsql as $$
      begin
        raise exception 'append-only: % of % refused', tg_op, tg_table_name;
      end $$`.execute(db)
    await sql`create trigger misbehaviour_never_changes before update or delete on misbehaviour
      for each row execute function never_changes()`.execute(db)
    await sql`
      create function only_moves_on() returns trigger language plpgsql as $$
      begin
        if tg_op = 'UPDATE' and new.origin = old.origin and (new.size > old.size
            or (new.size = old.size and new.root = old.root)) then
          return new;
        end if;
        raise exception 'what was cosigned is not taken back: % of % refused', tg_op, old.origin;
      end $$`.execute(db)
    await sql`create trigger witnessed_only_moves_on before update or delete on witnessed
      for each row execute function only_moves_on()`.execute(db)
  },
}
