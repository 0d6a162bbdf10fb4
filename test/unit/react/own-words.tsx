/** A badge whose words are the app's. */
import { DurabilityBadge, type Durable } from "@openclaw/browser/react";

export const OwnWords = ({ of }: { readonly of: Durable }) => (
  <DurabilityBadge of={of} id="badge">
    {({ safety, counts }) => (safety === "hub" ? null : `${safety}: ${counts.site} von 1`)}
  </DurabilityBadge>
);
