# Connects to a guarded broker with Net::Stomp over TLS, sends a message to itself, and says what happened in one line each.
# Usage: guarded.pl HOST PORT CA CERTIFICATE KEY LOGIN PASSCODE; "" is none.
use strict;
use warnings;
use Net::Stomp;

my ($host, $port, $ca, $certificate, $key, $login, $passcode) = @ARGV;
my %options = (SSL_ca_file => $ca, SSL_verify_mode => 1, SSL_verifycn_scheme => 'http', SSL_verifycn_name => $host);
%options = (%options, SSL_cert_file => $certificate, SSL_key_file => $key) if $certificate;
my $stomp = eval {
    Net::Stomp->new({ hostname => $host, port => $port, ssl => 1, ssl_options => \%options,
                      initial_reconnect_attempts => 1, reconnect_attempts => 1 });
};
if (!$stomp) {
    print "no connection\n";
    exit;
}
my $answer = $stomp->connect($login ? { login => $login, passcode => $passcode } : {});
if ($answer->command ne 'CONNECTED') {
    print $answer->command . ': ' . $answer->headers->{message} . "\n";
    exit;
}
$stomp->subscribe({ destination => '/queue/guarded', ack => 'auto' });
$certificate =~ s{.*/}{};
$stomp->send({ destination => '/queue/guarded', body => 'hello from ' . ($login || $certificate) });
print 'received: ' . $stomp->receive_frame->body . "\n";
$stomp->send({ destination => '/queue/forbidden', body => 'x', receipt => '1' });
my $refusal = $stomp->receive_frame;
print $refusal->command . ': ' . $refusal->headers->{message} . "\n";
$stomp->disconnect;
