use Net::Stomp ;
my $stomp = Net::Stomp->new ({hostname => '',
                               port => '6163' }) ;
$stomp->connect () ; 
$stomp->subscribe ( {
                   'destination' => '/queue/site.heartbeat',
                   'ack'         => 'client',
                   'activemq.prefetchSize' => 1});
while(1) {
     my $frame = $stomp->receive_frame;
     warn $frame->body ;
     print $frame->as_string ;
     $stomp->ack({frame => $frame} ) ;
}
$stomp->disconnect ;
