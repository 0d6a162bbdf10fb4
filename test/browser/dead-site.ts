/** A site all of whose gateways are dead: nobody listens at port 9 of this machine. */
export const DEAD_SITE = {
  cluster: "california",
  gateways: ["/ip4/127.0.0.1/tcp/9/ws/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"],
  http: [],
};
