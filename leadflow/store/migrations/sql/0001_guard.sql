-- The category guard, the append-only ledger and their companions, as triggers that fire for every role.
--
-- A transaction may name who writes with: SELECT set_config('leadflow.actor', 'person', true)
-- 'person' and 'connector' are outside the guard (each use is noted in guard_override);
-- 'configuration' may edit the lists and the lifecycle graph; anything else is automation.
--
-- The functions name every table with its schema: a temporary table of the same name would be found before it, and
-- anybody may make one.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadflow_app') THEN
        CREATE ROLE leadflow_app NOLOGIN;
    END IF;
    IF NOT pg_has_role(current_user, 'leadflow_app', 'MEMBER') THEN
        EXECUTE format('GRANT leadflow_app TO %I', current_user);
    END IF;
EXCEPTION
    -- Without the right to make roles the triggers below still hold for everybody.
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END $$;

CREATE FUNCTION leadflow_actor() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT coalesce(current_setting('leadflow.actor', true), '') $$;

CREATE FUNCTION leadflow_guard_company() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_category text := CASE WHEN TG_OP <> 'INSERT' THEN OLD.category_key END;
    new_category text := CASE WHEN TG_OP <> 'DELETE' THEN NEW.category_key END;
    is_free boolean := public.leadflow_actor() IN ('person', 'connector');
    is_protected boolean := old_category IS NOT NULL AND NOT EXISTS (
        SELECT FROM public.category WHERE key = old_category AND group_key = 'potential_customer');
    is_allowed boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND old_category IS NOT DISTINCT FROM new_category THEN
        -- Giving a protected company's domain away would let it come back under another category.
        is_allowed := NOT is_protected OR (OLD.id = NEW.id AND OLD.domain IS NOT DISTINCT FROM NEW.domain);
    ELSIF TG_OP = 'DELETE' THEN
        is_allowed := NOT is_protected;
    ELSE
        is_allowed := new_category IS NULL AND TG_OP = 'INSERT' OR NOT is_protected AND EXISTS (
            SELECT FROM public.lifecycle_edge
            WHERE source_key IS NOT DISTINCT FROM old_category AND target_key = new_category);
    END IF;
    IF NOT is_allowed THEN
        IF NOT is_free THEN
            RAISE EXCEPTION 'leadflow guard: company % may not go from % to % by automation',
                CASE WHEN TG_OP = 'INSERT' THEN NEW.id ELSE OLD.id END,
                coalesce(old_category, 'no category'),
                CASE WHEN TG_OP = 'DELETE' THEN 'deleted' ELSE coalesce(new_category, 'no category') END
                USING ERRCODE = 'LF001', HINT = 'A person changes it in the product; automation follows the lifecycle graph.';
        END IF;
        INSERT INTO public.guard_override (company_id, old_category, new_category, actor, database_user)
        VALUES (CASE WHEN TG_OP = 'INSERT' THEN NEW.id ELSE OLD.id END,
                old_category, new_category, public.leadflow_actor(), session_user);
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER guard_insert_delete BEFORE INSERT OR DELETE ON company
    FOR EACH ROW EXECUTE FUNCTION leadflow_guard_company();
CREATE TRIGGER guard_update BEFORE UPDATE ON company
    FOR EACH ROW WHEN (OLD.category_key IS DISTINCT FROM NEW.category_key
                       OR OLD.domain IS DISTINCT FROM NEW.domain OR OLD.id <> NEW.id)
    EXECUTE FUNCTION leadflow_guard_company();

CREATE FUNCTION leadflow_guard_contact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    effective text := CASE WHEN NEW.company_id IS NULL THEN NEW.category_key
                           ELSE (SELECT category_key FROM public.company WHERE id = NEW.company_id) END;
BEGIN
    IF NOT EXISTS (SELECT FROM public.category
                   WHERE key = effective AND group_key = 'potential_customer' AND lead_status_enabled) THEN
        RAISE EXCEPTION 'leadflow guard: the lead status of contact % is not active and cannot be edited', NEW.id
            USING ERRCODE = 'LF002';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER guard_lead_status BEFORE UPDATE OF lead_status_key ON contact
    FOR EACH ROW WHEN (OLD.lead_status_key IS DISTINCT FROM NEW.lead_status_key)
    EXECUTE FUNCTION leadflow_guard_contact();

-- The own category of a contact without a company follows the same rule as a company's.
CREATE FUNCTION leadflow_guard_own_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF public.leadflow_actor() IN ('person', 'connector') OR (NEW.category_key IS NOT NULL AND EXISTS (
            SELECT FROM public.lifecycle_edge WHERE source_key IS NOT DISTINCT FROM OLD.category_key
                                         AND target_key = NEW.category_key)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'leadflow guard: contact % may not go from % to % by automation', NEW.id,
        coalesce(OLD.category_key, 'no category'), coalesce(NEW.category_key, 'no category')
        USING ERRCODE = 'LF001';
END $$;

CREATE TRIGGER guard_own_category BEFORE UPDATE OF category_key ON contact
    FOR EACH ROW WHEN (OLD.category_key IS DISTINCT FROM NEW.category_key)
    EXECUTE FUNCTION leadflow_guard_own_category();

CREATE FUNCTION leadflow_keep_first_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'leadflow guard: the first touch is written once' USING ERRCODE = 'LF003';
END $$;

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['company', 'contact'] LOOP
        EXECUTE format($f$
            CREATE TRIGGER keep_first_touch BEFORE UPDATE ON %I FOR EACH ROW
            WHEN ((OLD.first_touch_source, OLD.first_touch_medium, OLD.first_touch_campaign, OLD.first_touch_term,
                   OLD.first_touch_content, OLD.first_touch_referrer, OLD.first_touch_at)
                  IS DISTINCT FROM
                  (NEW.first_touch_source, NEW.first_touch_medium, NEW.first_touch_campaign, NEW.first_touch_term,
                   NEW.first_touch_content, NEW.first_touch_referrer, NEW.first_touch_at))
            EXECUTE FUNCTION leadflow_keep_first_touch()$f$, one);
    END LOOP;
END $$;

CREATE FUNCTION leadflow_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'leadflow guard: % is append-only', TG_TABLE_NAME USING ERRCODE = 'LF004';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON change
    FOR EACH STATEMENT EXECUTE FUNCTION leadflow_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON guard_override
    FOR EACH STATEMENT EXECUTE FUNCTION leadflow_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON company
    FOR EACH STATEMENT EXECUTE FUNCTION leadflow_append_only();

-- Lists and graph decide what automation may do: automation does not edit them.
CREATE FUNCTION leadflow_guard_configuration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF public.leadflow_actor() NOT IN ('person', 'configuration') THEN
        RAISE EXCEPTION 'leadflow guard: % is changed by an administrator only', TG_TABLE_NAME USING ERRCODE = 'LF005';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER guard_configuration BEFORE INSERT OR UPDATE OR DELETE ON category
    FOR EACH ROW EXECUTE FUNCTION leadflow_guard_configuration();
CREATE TRIGGER guard_configuration BEFORE INSERT OR UPDATE OR DELETE ON lifecycle_edge
    FOR EACH ROW EXECUTE FUNCTION leadflow_guard_configuration();
CREATE TRIGGER guard_configuration BEFORE INSERT OR UPDATE OR DELETE ON lead_status
    FOR EACH ROW EXECUTE FUNCTION leadflow_guard_configuration();

-- An edge out of a protected group cannot exist, whoever writes it.
CREATE FUNCTION leadflow_guard_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.source_key IS NOT NULL AND NOT EXISTS (
            SELECT FROM public.category WHERE key = NEW.source_key AND group_key = 'potential_customer') THEN
        RAISE EXCEPTION 'leadflow guard: no step of the lifecycle may leave %', NEW.source_key USING ERRCODE = 'LF001';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER guard_edge BEFORE INSERT OR UPDATE ON lifecycle_edge
    FOR EACH ROW EXECUTE FUNCTION leadflow_guard_edge();

-- Rules may name a value as it was called when they were written: a rename breaks nothing.
CREATE FUNCTION leadflow_keep_former_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_short_name varchar := to_jsonb(OLD) ->> 'short_name';
BEGIN
    IF NEW.name <> OLD.name THEN
        NEW.former_names := array_append(array_remove(NEW.former_names, OLD.name), OLD.name);
    END IF;
    IF old_short_name IS NOT NULL AND old_short_name IS DISTINCT FROM to_jsonb(NEW) ->> 'short_name' THEN
        NEW.former_names := array_append(array_remove(NEW.former_names, old_short_name), old_short_name);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER keep_former_name BEFORE UPDATE ON category
    FOR EACH ROW EXECUTE FUNCTION leadflow_keep_former_name();
CREATE TRIGGER keep_former_name BEFORE UPDATE ON lead_status
    FOR EACH ROW EXECUTE FUNCTION leadflow_keep_former_name();

-- Deletes are soft.
CREATE FUNCTION leadflow_no_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'leadflow guard: % keeps its rows; set deleted_at', TG_TABLE_NAME USING ERRCODE = 'LF006';
END $$;

CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON category
    FOR EACH STATEMENT EXECUTE FUNCTION leadflow_no_delete();
CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON lead_status
    FOR EACH STATEMENT EXECUTE FUNCTION leadflow_no_delete();

-- Also under session_replication_role = replica.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger
               WHERE NOT tgisinternal AND tgfoid::regproc::text LIKE 'leadflow_%' LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', one.relation, one.tgname);
    END LOOP;
END $$;
