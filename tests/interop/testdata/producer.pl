use Net::Stomp;
my $stomp = Net::Stomp->new( { hostname => '', port => '6163' } );
$stomp->connect () ;
$stomp->send({'destination' => '/queue/site.heartbeat', body => 'test message' } );
