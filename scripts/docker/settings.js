// In place of the stock file: the load balancer in front of the edges.
var server = "ws://" + location.hostname + ":8188";
var iceServers = [];
var token = "", apisecret = "";
