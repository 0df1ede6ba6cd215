import { Hono } from "hono";

// Ponder does not start without an API; nobody asks it here.
export default new Hono();
