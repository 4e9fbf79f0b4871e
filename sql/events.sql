-- name: insert_event
INSERT INTO public.ami_events (id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at)
VALUES (COALESCE(CAST(:id AS uuid), gen_random_uuid()), :tenant_id, :feeder_id, :meter_id, :event_type, :severity, :starts_at, :ends_at)
RETURNING id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at

-- name: events_in_window
-- Half-open windows [starts_at, ends_at) that overlap [:from_time, :to_time); an empty window overlaps nothing.
SELECT id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at
FROM public.ami_events
WHERE tenant_id = :tenant_id AND starts_at < :to_time AND ends_at > :from_time AND ends_at > starts_at
ORDER BY created_at, id

-- name: unended_events
SELECT id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at
FROM public.ami_events
WHERE tenant_id = :tenant_id AND ends_at > :grid_now AND ends_at > starts_at
ORDER BY created_at, id

-- name: latest_events
SELECT id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at
FROM public.ami_events
WHERE tenant_id = :tenant_id
ORDER BY created_at DESC, id DESC
LIMIT :most

-- name: event_by_id
SELECT id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at
FROM public.ami_events
WHERE id = CAST(:id AS uuid)

-- name: end_event
-- An event that is over stays as it was; one that lies ahead is cancelled: it ends where it would have begun.
UPDATE public.ami_events
SET ends_at = GREATEST(starts_at, CAST(:grid_now AS timestamptz))
WHERE id = CAST(:id AS uuid) AND ends_at > :grid_now
RETURNING id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at

-- name: end_all_events
UPDATE public.ami_events
SET ends_at = GREATEST(starts_at, CAST(:grid_now AS timestamptz))
WHERE tenant_id = :tenant_id AND ends_at > :grid_now AND ends_at > starts_at

-- name: delete_events
DELETE FROM public.ami_events WHERE tenant_id = :tenant_id

-- name: earliest_event_start
SELECT min(starts_at) FROM public.ami_events WHERE tenant_id = :tenant_id

-- name: all_events
SELECT id, tenant_id, feeder_id, meter_id, event_type, severity, starts_at, ends_at, created_at
FROM public.ami_events
WHERE tenant_id = :tenant_id
ORDER BY created_at, id

-- name: delete_other_events
-- Of the local database alone: what was written after the grid time that the demo goes back to.
DELETE FROM public.ami_events WHERE tenant_id = :tenant_id AND id <> ALL (CAST(:ids AS uuid[]))

-- name: put_end_back
UPDATE public.ami_events SET ends_at = :ends_at WHERE id = :id AND ends_at <> :ends_at
