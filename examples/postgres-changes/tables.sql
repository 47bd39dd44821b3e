-- What the shop has, and what the sink writes.
CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, customer text NOT NULL, total numeric(12,2) NOT NULL, state text NOT NULL DEFAULT 'new');
CREATE TABLE IF NOT EXISTS history (delivery text PRIMARY KEY, at timestamptz, what text, order_id bigint, change jsonb);
INSERT INTO orders VALUES (1, 'Ada', 12.50) ON CONFLICT DO NOTHING;
